from django.urls import path

from workspaces import views

app_name = "workspaces"

urlpatterns = [
    path("", views.home, name="start"),
    path("w/<slug:slug>/", views.workspace_home, name="home"),
    path("language/", views.language, name="language"),
    path("settings/", views.settings, name="settings"),
    path("notices/", views.notice_list, name="notices"),
    path("notices/read/", views.notices_read, name="notices_read"),
    path("notices/<int:pk>/", views.notice_open, name="notice_open"),
    path(
        "invitations/<int:pk>/accept/",
        views.invitation_answer,
        {"accept": True},
        name="invitation_accept",
    ),
    path(
        "invitations/<int:pk>/decline/",
        views.invitation_answer,
        {"accept": False},
        name="invitation_decline",
    ),
]
