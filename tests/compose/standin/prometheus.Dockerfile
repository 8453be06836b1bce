# prom/prometheus, as far as the Compose file uses it: Debian's, under the official one's user and folders.
FROM python:3.13-slim
LABEL shardstack.stand-in="prometheus"
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends prometheus wget \
    && rm -rf /var/lib/apt/lists/*
RUN install --directory --owner=65534 --group=65534 /prometheus
USER 65534:65534
VOLUME /prometheus
WORKDIR /prometheus
EXPOSE 9090
ENTRYPOINT ["/usr/bin/prometheus"]
