# CPU:   docker build -t styleganv .
# CUDA:  docker build -t styleganv:cuda --build-arg TORCH_BACKEND=cu130 .
# Run:   docker run --rm -v "$PWD:/work" styleganv generate faces-64 --out videos --seeds 0-7
#        On GPUs, add `--gpus all` and take the image styleganv:cuda; PyTorch brings the CUDA libraries, the host the driver.
FROM python:3.12-slim
# Build of PyTorch: cpu, or a CUDA version as `uv pip install --torch-backend` names it.
ARG TORCH_BACKEND=cpu
# The compiler with which Triton builds kernels for GPUs.
RUN if [ "$TORCH_BACKEND" != cpu ]; then \
      apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*; \
    fi
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /src
# Dependencies are a layer of their own, which a change of the code leaves alone.
COPY pyproject.toml constraints.txt ./
RUN uv pip install --system --no-cache --torch-backend "$TORCH_BACKEND" -c constraints.txt \
      -r pyproject.toml --extra clip --extra export --extra studio
COPY README.md LICENSE ./
COPY src src
RUN uv pip install --system --no-cache --no-deps . && styleganv --version
WORKDIR /work
ENTRYPOINT ["styleganv"]
