# One screen in a container, on a CPU; docs/deploy.md says how to run it.
#   docker build -t cxr .                                              # the app
#   docker build -t cxr-dashboard --build-arg SCREEN=dashboard .       # the dashboard
FROM python:3.11-slim

ARG SCREEN=app
# An index with smaller builds of torch, without CUDA: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG TORCH_INDEX=
# Which packages; the folder of a Space has them beside this file.
ARG LOCK=assets/deploy/$SCREEN.txt
# A page inside another site's frame gets no cookie, and with it no upload: false there.
ARG XSRF=true

RUN useradd --create-home --uid 1000 user
USER 1000
WORKDIR /home/user/app
ENV PATH=/home/user/.local/bin:$PATH \
    HF_HOME=/home/user/.cache/huggingface \
    PYTHONUNBUFFERED=1 \
    CXR_SCREEN=$SCREEN \
    CXR_HOST=0.0.0.0 \
    CXR_PORT=7860 \
    STREAMLIT_SERVER_ENABLE_XSRF_PROTECTION=$XSRF
# Made here, so that a volume mounted there belongs to the user.
RUN mkdir -p "$HF_HOME"

COPY --chown=1000 $LOCK requirements.txt
RUN pip install --no-cache-dir --user ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -r requirements.txt
COPY --chown=1000 . .

EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['CXR_PORT'], timeout=4)"]
CMD ["sh", "-c", "exec python -m \"$CXR_SCREEN\""]
