"""What an operator loads into other programs: alarms, a dashboard, a Kubernetes manifest."""
