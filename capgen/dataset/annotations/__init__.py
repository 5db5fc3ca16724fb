"""What annotation files of others hold."""
