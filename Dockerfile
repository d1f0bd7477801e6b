# An exported classifier behind HTTP, without torch and transformers. docs/container.md tells how to build and run it.
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
RUN useradd --system --uid 10001 --no-create-home hfcls

# What serving an exported folder needs, and no more.
COPY constraints.txt ./
RUN pip install --no-cache-dir -c constraints.txt argcomplete fastapi httptools numpy onnxruntime prometheus-client PyYAML tokenizers uvicorn

COPY pyproject.toml README.md LICENSE ./
COPY hfcls ./hfcls
COPY recipes ./recipes
COPY accelerate_configs ./accelerate_configs
RUN pip install --no-cache-dir --no-deps .

USER 10001

EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=2)"]

# The folder that `hfcls export` wrote is mounted at /model. More options may follow the name of the image.
ENTRYPOINT ["hfcls", "serve", "/model", "--host", "0.0.0.0", "--port", "8000", "--no-page"]
