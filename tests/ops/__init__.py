"""Tests of the alarms, the dashboard and the Kubernetes manifest, with other programs."""
