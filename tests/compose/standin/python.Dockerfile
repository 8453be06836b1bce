# python:3.13-slim, from a Debian 13 that `images` has imported.
FROM shardstack-standin-trixie
LABEL shardstack.stand-in="python"
COPY certificates /usr/local/share/ca-certificates/
RUN update-ca-certificates \
    && ln -sf python3 /usr/bin/python \
    && rm -f /usr/lib/python3.*/EXTERNALLY-MANAGED
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
