from django.apps import AppConfig


class FaultsConfig(AppConfig):
    name = "faults"

    def ready(self) -> None:
        """Take the guards away that this process is to work without."""
        from faults import guards

        guards.take_away_those_named()
