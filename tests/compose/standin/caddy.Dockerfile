# caddy:2, as far as the Compose file uses it, with the program from its wheel.
FROM python:3.13-slim
LABEL shardstack.stand-in="caddy"
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends libcap2-bin wget \
    && rm -rf /var/lib/apt/lists/*
COPY caddy /usr/bin/caddy
RUN setcap cap_net_bind_service=+ep /usr/bin/caddy \
    && mkdir -p /config/caddy /data/caddy /etc/caddy
ENV XDG_CONFIG_HOME=/config \
    XDG_DATA_HOME=/data
EXPOSE 80 443 2019
CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
