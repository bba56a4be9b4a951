"""The installation of docker-compose.cluster.yml, with a mishap for each of its containers."""
