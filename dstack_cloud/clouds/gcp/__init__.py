"""Google Cloud: machines by bulkInsert, images by family, permissions by custom roles."""
