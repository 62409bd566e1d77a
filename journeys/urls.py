from django.urls import path

from journeys.views import editor

app_name = "journeys"

urlpatterns = [
    path("w/<slug:slug>/journeys/<int:pk>/", editor.editor, name="editor"),
    path("w/<slug:slug>/journeys/<int:pk>/canvas/", editor.canvas, name="canvas"),
    path("w/<slug:slug>/journeys/<int:pk>/start/", editor.change_start, name="change_start"),
    path("w/<slug:slug>/journeys/<int:pk>/steps/add/", editor.step_add, name="step_add"),
    path("w/<slug:slug>/journeys/<int:pk>/steps/paste/", editor.step_paste, name="step_paste"),
    path(
        "w/<slug:slug>/journeys/<int:pk>/steps/duplicate/",
        editor.step_duplicate,
        name="step_duplicate",
    ),
    path("w/<slug:slug>/journeys/<int:pk>/steps/move/", editor.step_move, name="step_move"),
    path("w/<slug:slug>/journeys/<int:pk>/steps/delete/", editor.step_delete, name="step_delete"),
    path("w/<slug:slug>/journeys/<int:pk>/undo/<int:revision>/", editor.undo, name="undo"),
]
