# One image, every process: the command says which.
FROM python:3.13-slim-trixie AS build
WORKDIR /app
RUN python -m venv /venv
COPY requirements.txt .
RUN /venv/bin/pip install --no-cache-dir --require-hashes -r requirements.txt
COPY . .
# Any values do: collecting files reads the settings and nothing else.
RUN STATIC_MANIFEST=true DATABASE_URL=postgresql://build@build/build SECRET_KEY=build \
    FIELD_KEYS=build:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= \
    DELIVERY_KEY=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= \
    /venv/bin/python manage.py collectstatic --noinput

FROM python:3.13-slim-trixie
RUN useradd --system --uid 10001 --home-dir /app app && install -d -o app -m 700 /var/lib/qa
WORKDIR /app
COPY --from=build /venv /venv
COPY --from=build /app /app
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 STATIC_MANIFEST=true LOG_FORMAT=json \
    LOCAL_DIR=/var/lib/qa
USER app
EXPOSE 8000
CMD ["gunicorn", "qa_webhook.wsgi", "--worker-class", "gthread", "--workers", "4", "--threads", "4", \
     "--bind", "0.0.0.0:8000", "--worker-tmp-dir", "/dev/shm", "--no-control-socket"]
