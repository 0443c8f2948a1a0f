# No container engine was available where this was written: it is untested.
#
#   docker build --build-arg VERSION="$(git describe --tags --always)" -t tollbook .

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
# Static, with the time zones inside: the image below has nothing but this file.
RUN CGO_ENABLED=0 go build -buildvcs=false -trimpath -tags timetzdata \
    -ldflags "-s -w -X main.version=${VERSION}" -o /out/tollbook .
# A volume mounted here takes its owner from the image.
RUN mkdir -p /out/journal /out/signer /out/socket /out/tmp && chmod 0700 /out/journal /out/signer /out/socket && chmod 1777 /out/tmp

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/tollbook /tollbook
COPY --from=build --chown=65532:65532 /out/journal /var/lib/tollbook/journal
COPY --from=build --chown=65532:65532 /out/signer /var/lib/tollbook/signer
COPY --from=build --chown=65532:65532 /out/socket /run/tollbook
COPY --from=build --chown=65532:65532 /out/tmp /tmp
ENV TOLLBOOK_JOURNAL_DIR=/var/lib/tollbook/journal
# A number, so that a cluster can check that it is not root.
USER 65532:65532
EXPOSE 8080
HEALTHCHECK NONE
ENTRYPOINT ["/tollbook"]
CMD ["serve"]
