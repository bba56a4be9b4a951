ARG PYTHON_IMAGE=python:3.13-slim
FROM ${PYTHON_IMAGE} AS build

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python -m venv --without-pip /venv

COPY requirements.txt ./
RUN pip --python /venv install --require-hashes -r requirements.txt

# The lock with all extras also pins what builds the project.
COPY requirements-dev.txt ./
RUN pip install --require-hashes --constraint requirements-dev.txt poetry-core

COPY pyproject.toml README.md LICENSE ./
COPY locapi locapi
COPY cli cli
RUN pip wheel --no-deps --no-build-isolation --wheel-dir wheels . \
 && pip --python /venv install --no-deps wheels/*.whl


FROM ${PYTHON_IMAGE}

ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin locapi
COPY --from=build /venv /venv
USER 10001:10001
EXPOSE 5000

# Whether the process responds, not whether the database does: an orchestrator that restarts
# unhealthy containers would help nobody by restarting this one. urllib would use a proxy.
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s CMD ["python", "-c", "\
from http.client import HTTPConnection; \
api = HTTPConnection('127.0.0.1', 5000, timeout=8); \
api.request('GET', '/livez'); \
raise SystemExit(api.getresponse().status != 200)"]

ENTRYPOINT ["locctl"]
CMD ["serve", "--host", "0.0.0.0", "--port", "5000"]
