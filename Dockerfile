# The image of greenapi-exporter: the program, the CA roots and a C library, nothing else; no shell, no root.
#
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg REVISION=$(git rev-parse --short=12 HEAD) .
#
# Base images are pinned by tag; the release workflow resolves them and records their digests in the image's provenance.

# It runs on the builder's own platform and compiles for the target's: emulating a compiler would take an hour.
FROM --platform=$BUILDPLATFORM docker.io/library/rust:1.95.0-slim-bookworm AS build
ARG TARGETARCH
WORKDIR /src

# The crypto library brings C and assembly. What the builder's own platform needs is in the base image.
RUN case "$TARGETARCH-$(dpkg --print-architecture)" in \
      amd64-amd64|arm64-arm64) ;; \
      arm64-*) apt-get update && apt-get install --yes --no-install-recommends gcc-aarch64-linux-gnu libc6-dev-arm64-cross ;; \
      amd64-*) apt-get update && apt-get install --yes --no-install-recommends gcc-x86-64-linux-gnu libc6-dev-amd64-cross ;; \
      *) echo "no image is made for $TARGETARCH" >&2; exit 1 ;; \
    esac

COPY Cargo.toml Cargo.lock build.rs ./
COPY benches benches
COPY src src

ARG REVISION=unknown
# Paths of the build machine don't belong into the program; without them the same source gives the same bytes.
RUN --mount=type=cache,target=/src/target \
    case "$TARGETARCH" in amd64) target=x86_64-unknown-linux-gnu ;; arm64) target=aarch64-unknown-linux-gnu ;; esac && \
    { rustup target list --installed | grep --quiet --line-regexp "$target" || rustup target add "$target"; } && \
    GREENAPI_EXPORTER_REVISION="$REVISION" \
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=x86_64-linux-gnu-gcc \
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
    RUSTFLAGS="--remap-path-prefix=/src=. --remap-path-prefix=${CARGO_HOME:-/usr/local/cargo}=/cargo" \
      cargo build --release --locked --target "$target" && \
    mkdir -p /image/usr/bin /image/var/lib/greenapi-exporter && \
    cp "target/$target/release/greenapi-exporter" /image/usr/bin/

# C library, CA roots, time zones and the user 65532; no shell, no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="greenapi-exporter" \
      org.opencontainers.image.description="Prometheus exporter for GREEN-API's WhatsApp statuses" \
      org.opencontainers.image.licenses="Apache-2.0"
# The folder of the ledger is in the image so that a volume put there belongs to the user who writes to it.
COPY --from=build --chown=65532:65532 /image/var/lib/greenapi-exporter /var/lib/greenapi-exporter
COPY --from=build /image/usr/bin/greenapi-exporter /usr/bin/greenapi-exporter
USER 65532:65532
EXPOSE 10466
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s CMD ["/usr/bin/greenapi-exporter", "healthcheck"]
ENTRYPOINT ["/usr/bin/greenapi-exporter"]
