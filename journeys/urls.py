from django.urls import path

from journeys.views import (
    audience_files,
    audience_people,
    audience_rows,
    audiences,
    deliveries,
    editor,
    events,
    lists,
    panels,
    people,
    people_pages,
    publishing,
    runs,
    tests,
    variables,
    versions,
)

app_name = "journeys"

urlpatterns = [
    path("w/<slug:slug>/journeys/", lists.journey_list, name="list"),
    path("w/<slug:slug>/journeys/new/", lists.create, name="create"),
    path("w/<slug:slug>/journeys/<int:pk>/rename/", lists.rename, name="rename"),
    path("w/<slug:slug>/journeys/<int:pk>/duplicate/", lists.duplicate, name="duplicate"),
    path("w/<slug:slug>/journeys/<int:pk>/archive/", lists.archive, name="archive"),
    path("w/<slug:slug>/journeys/<int:pk>/publish/", publishing.publish, name="publish"),
    path("w/<slug:slug>/journeys/<int:pk>/pause/", runs.pause, name="pause"),
    path("w/<slug:slug>/journeys/<int:pk>/resume/", runs.resume, name="resume"),
    path("w/<slug:slug>/journeys/<int:pk>/stop/", runs.stop, name="stop"),
    path("w/<slug:slug>/journeys/<int:pk>/versions/", versions.versions, name="versions"),
    path(
        "w/<slug:slug>/journeys/<int:pk>/versions/<int:number>/restore/",
        versions.restore,
        name="version_restore",
    ),
    path("w/<slug:slug>/journeys/<int:pk>/runs/<int:run>/", runs.run, name="run"),
    path(
        "w/<slug:slug>/journeys/<int:pk>/runs/<int:run>/numbers/",
        runs.run_numbers,
        name="run_numbers",
    ),
    path("w/<slug:slug>/journeys/<int:pk>/runs/<int:run>/person/", people.person, name="person"),
    path(
        "w/<slug:slug>/journeys/<int:pk>/runs/<int:run>/people/<int:qaid>/", people.why, name="why"
    ),
    path("w/<slug:slug>/audiences/", audiences.audience_list, name="audiences"),
    path("w/<slug:slug>/audiences/create/", audiences.audience_create, name="audience_create"),
    path("w/<slug:slug>/audiences/new/", audience_rows.audience_new, name="audience_new"),
    path("w/<slug:slug>/audiences/rows/", audience_rows.audience_rows, name="audience_rows"),
    path("w/<slug:slug>/audiences/said/", audience_rows.audience_said, name="audience_said"),
    path("w/<slug:slug>/audiences/count/", audience_rows.audience_count, name="audience_count"),
    path("w/<slug:slug>/audiences/<int:pk>/", audiences.audience, name="audience"),
    path(
        "w/<slug:slug>/audiences/<int:pk>/people/",
        audience_people.audience_people,
        name="audience_people",
    ),
    path(
        "w/<slug:slug>/audiences/<int:pk>/rename/",
        audiences.audience_rename,
        name="audience_rename",
    ),
    path(
        "w/<slug:slug>/audiences/<int:pk>/duplicate/",
        audiences.audience_duplicate,
        name="audience_duplicate",
    ),
    path(
        "w/<slug:slug>/audiences/<int:pk>/delete/",
        audiences.audience_delete,
        name="audience_delete",
    ),
    path(
        "w/<slug:slug>/audiences/<int:pk>/upload/",
        audience_files.audience_upload,
        name="audience_upload",
    ),
    path(
        "w/<slug:slug>/audiences/<int:pk>/look/", audience_files.audience_look, name="audience_look"
    ),
    path(
        "w/<slug:slug>/audiences/<int:pk>/rejects/",
        audience_files.audience_rejects,
        name="audience_rejects",
    ),
    path("w/<slug:slug>/deliveries/", deliveries.delivery_list, name="deliveries"),
    path("w/<slug:slug>/deliveries/orders/", deliveries.orders, name="orders"),
    path("w/<slug:slug>/deliveries/send-again/", deliveries.send_again, name="send_again"),
    path("w/<slug:slug>/deliveries/export/", deliveries.export, name="export"),
    path("w/<slug:slug>/events/", events.event_list, name="events"),
    path("w/<slug:slug>/events/summary/", events.event_summary, name="event_summary"),
    path("w/<slug:slug>/people/", people_pages.people_search, name="people"),
    path("w/<slug:slug>/people/census/", people_pages.people_census, name="people_census"),
    path("w/<slug:slug>/people/<int:qaid>/", people_pages.person_page, name="person_page"),
    path(
        "w/<slug:slug>/people/<int:qaid>/audiences/",
        people_pages.person_audiences,
        name="person_audiences",
    ),
    path("w/<slug:slug>/journeys/<int:pk>/", editor.editor, name="editor"),
    path("w/<slug:slug>/journeys/<int:pk>/canvas/", editor.canvas, name="canvas"),
    path("w/<slug:slug>/journeys/<int:pk>/others/", editor.others, name="others"),
    path("w/<slug:slug>/journeys/<int:pk>/numbers/", editor.numbers, name="numbers"),
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
    path("w/<slug:slug>/journeys/<int:pk>/steps/<uuid:key>/", panels.panel, name="panel"),
    path(
        "w/<slug:slug>/journeys/<int:pk>/steps/<uuid:key>/preview/", panels.preview, name="preview"
    ),
    path(
        "w/<slug:slug>/journeys/<int:pk>/steps/<uuid:key>/coverage/",
        panels.coverage,
        name="coverage",
    ),
    path(
        "w/<slug:slug>/journeys/<int:pk>/steps/<uuid:key>/people/",
        panels.start_people,
        name="start_people",
    ),
    path(
        "w/<slug:slug>/journeys/<int:pk>/steps/<uuid:key>/variable/",
        variables.variable,
        name="variable",
    ),
    path(
        "w/<slug:slug>/journeys/<int:pk>/steps/<uuid:key>/variable/insert/",
        variables.variable_insert,
        name="variable_insert",
    ),
    path(
        "w/<slug:slug>/journeys/<int:pk>/steps/<uuid:key>/variable/preview/",
        variables.variable_preview,
        name="variable_preview",
    ),
    path(
        "w/<slug:slug>/journeys/<int:pk>/steps/<uuid:key>/variable/rates/",
        variables.variable_rates,
        name="variable_rates",
    ),
    path("w/<slug:slug>/journeys/<int:pk>/steps/<uuid:key>/test/", tests.test, name="test"),
    path(
        "w/<slug:slug>/journeys/<int:pk>/steps/<uuid:key>/test/send/",
        tests.test_send,
        name="test_send",
    ),
    path(
        "w/<slug:slug>/journeys/<int:pk>/steps/<uuid:key>/test/cancel/",
        tests.test_cancel,
        name="test_cancel",
    ),
    path(
        "w/<slug:slug>/journeys/<int:pk>/steps/<uuid:key>/test/values/",
        tests.test_values,
        name="test_values",
    ),
]
