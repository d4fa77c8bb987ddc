.PHONY: help setup engine demo test check bench clean

help: ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

setup: ## the virtual environment, with everything in it
	@scripts/setup

engine: ## Docker, rclone and a registry on this machine, where absent
	@scripts/install-engine
