# caddy:2, as far as the Compose file uses it: Debian's 2.6, with what the official one has had since
# 2.11.2 (caddy-resend.patch), and without the time-outs that 2.6 lacks (caddyfile-of-2.6.sed).
FROM shardstack-standin-bookworm AS build
COPY build-caddy caddy-resend.patch /build/
RUN sh /build/build-caddy /build/caddy

FROM python:3.13-slim
LABEL shardstack.stand-in="caddy"
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends libcap2-bin wget \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /build/caddy /usr/bin/caddy
COPY caddyfile-of-2.6.sed /etc/caddy/older.sed
RUN setcap cap_net_bind_service=+ep /usr/bin/caddy \
    && mkdir -p /config/caddy /data/caddy
ENV XDG_CONFIG_HOME=/config \
    XDG_DATA_HOME=/data
EXPOSE 80 443 2019
COPY run-caddy /usr/bin/run-caddy
CMD ["run-caddy"]
