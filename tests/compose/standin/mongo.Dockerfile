# mongo:8.0, as far as the Compose file uses it: user, folders and entry point are the official ones.
FROM python:3.13-slim
LABEL shardstack.stand-in="mongo"
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends libcurl4t64 nodejs \
    && rm -rf /var/lib/apt/lists/*
RUN groupadd --gid 999 --system mongodb \
    && useradd --uid 999 --system --gid mongodb --home-dir /data/db mongodb \
    && install --directory --owner=mongodb --group=mongodb /data/db /data/configdb
COPY requirements.lock /tmp/
RUN python -m venv /opt/router \
    && /opt/router/bin/pip install --quiet --no-cache-dir --require-hashes -r /tmp/requirements.lock
COPY mongosh /opt/mongosh
COPY mongod mongos mongosh.sh docker-entrypoint.sh /usr/local/bin/
COPY console /opt/router/console
COPY cluster /opt/router/cluster
RUN mv /usr/local/bin/mongosh.sh /usr/local/bin/mongosh \
    && chmod 0755 /usr/local/bin/* \
    && /opt/router/bin/python -m compileall -q /opt/router/console /opt/router/cluster
VOLUME /data/db /data/configdb
EXPOSE 27017
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["mongod"]
