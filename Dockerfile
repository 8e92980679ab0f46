# The gateway alone, on a slim base: docker build -t penstock .
FROM swift:6.3-bookworm AS build
RUN apt-get -qq update \
    && apt-get -qq -y --no-install-recommends install libnghttp2-dev libssl-dev libyaml-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY Package.swift Package.resolved* ./
RUN swift package resolve
COPY Sources Sources
COPY Tests Tests
RUN swift build -c release --static-swift-stdlib --product penstock \
    && strip -o /penstock .build/release/penstock

FROM debian:bookworm-slim
# Shared libraries that get their security updates from Debian; the Swift library is inside the program.
RUN apt-get -qq update \
    && apt-get -qq -y --no-install-recommends install ca-certificates libnghttp2-14 libssl3 libstdc++6 libyaml-0-2 \
    && rm -rf /var/lib/apt/lists/* \
    && mkdir /etc/penstock
COPY --from=build /penstock /usr/local/bin/penstock
LABEL org.opencontainers.image.title="Penstock" \
    org.opencontainers.image.description="Inference gateway: one OpenAI-compatible endpoint in front of many engines" \
    org.opencontainers.image.licenses="Apache-2.0"
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
EXPOSE 4000 4001
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/penstock"]
CMD ["serve", "--config", "/etc/penstock/gateway.yaml"]
