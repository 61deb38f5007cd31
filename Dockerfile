# docker build -t tidings .
# docker run -p 4000:4000 -e TIDINGS_BUS__URL=redis://… tidings
# docker run -p 4000:4000 -v tidings:/var/lib/tidings tidings        (without Redis: keys and accounts are in the volume)

FROM rust:1.95-bookworm AS build
WORKDIR /tidings
COPY Cargo.toml Cargo.lock ./
COPY config config
COPY playground/dist playground/dist
COPY schema schema
COPY src src
# Cargo.toml names them, and cargo reads nothing of it if they are not there.
COPY benches/decoding.rs benches/fan_out.rs benches/filters.rs benches/rendering.rs benches/
RUN cargo build --profile dist --locked --bin tidings

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --user-group --shell /usr/sbin/nologin tidings \
 && install --directory --owner=tidings --group=tidings /var/lib/tidings
COPY LICENSE /usr/share/doc/tidings/
COPY --from=build /tidings/target/dist/tidings /usr/local/bin/tidings
ENV TIDINGS_SERVER__LISTEN=0.0.0.0:4000 \
    TIDINGS_STORE__DIRECTORY=/var/lib/tidings
# As a number, so that Kubernetes can see that it is not root (runAsNonRoot).
USER 10001:10001
WORKDIR /var/lib/tidings
VOLUME /var/lib/tidings
EXPOSE 4000
STOPSIGNAL SIGTERM
# No HEALTHCHECK: whoever runs this asks GET /healthz and GET /readyz, and there is no client for that in here.
ENTRYPOINT ["tidings"]
CMD ["serve"]
