"""AWS: machines by EC2 Fleet, images by SSM's public parameters, permissions by IAM."""
