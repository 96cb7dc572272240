# Two stages: npm and its cache stay out of what runs.
FROM node:26-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# Node 26 is the image's own: the package that brings it to other machines stays empty without its script.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:26-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY package.json ./
COPY src src
COPY redis-scripts redis-scripts
COPY config config

# The outbox and, where no redis.url is set, the embedded Redis. Config is read-only to the process.
RUN mkdir /data && chown node:node /data
VOLUME /data
ENV TOLLGATE_DATA_DIR=/data
USER node

# Inside a container loopback is the container's own: the gateway must listen on all its addresses to be reached. The
# admin port stays on loopback until the config names another host, which needs tokens.
ENV TOLLGATE_HOST=0.0.0.0
EXPOSE 8080 9090

HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:9090/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]

# No shell and no npm in between: SIGTERM reaches the gateway itself, which then lets running calls end.
STOPSIGNAL SIGTERM
CMD ["node", "src/tollgate.js", "serve", "--config", "config/tollgate.yaml"]
