from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class ProjectConfig(AppConfig):
    name = "qa_webhook"

    def ready(self) -> None:
        from qa_webhook import checks  # noqa: F401 - registers them


class ConsoleAdminConfig(AdminConfig):
    default_site = "workspaces.admin_site.ConsoleAdminSite"
