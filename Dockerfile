# The host with its plugins. Build: everything from source by the repository's own command. Runtime: the
# program, the components and the crypto job, run by a user who owns /data and nothing else.

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo xtask build

FROM debian:bookworm-slim
# The job names its plugins relative to the working directory, which is the volume: a link leads there.
RUN useradd --system --uid 10001 --create-home --home-dir /data speed-layer && ln -s /app/target /data/target
# For exchanges: whose certificates are trusted.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/target/release/host /usr/local/bin/host
COPY --from=build /src/target/plugins /app/target/plugins
COPY pipeline.toml /app/pipeline.toml
USER speed-layer
# The job's paths are relative to /data: what it writes outlives the container as a volume.
WORKDIR /data
VOLUME /data
ENTRYPOINT ["/usr/local/bin/host"]
CMD ["run", "/app/pipeline.toml"]
