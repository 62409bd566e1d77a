from django.db import models


class Heartbeat(models.Model):
    """One process of the installation that is alive, or was until a moment ago."""

    role = models.CharField(max_length=20)  # sender, planner, worker
    host = models.CharField(max_length=200)
    pid = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    # Claims that a sender lost to another one since it started.
    lease_losses = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["role", "host", "pid"], name="workspaces_heartbeat_once_a_process"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} · {self.host} · {self.pid}"
