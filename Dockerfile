# docker build --tag vicuna-apply-delta .
# docker run --rm --volume "$PWD:/work" --volume huggingface:/huggingface vicuna-apply-delta --base … --delta … --target …
FROM node:22-slim AS build
WORKDIR /build
COPY . .
RUN mkdir /package && npm ci --no-audit --no-fund && npm pack --silent --pack-destination /package

FROM node:22-slim
COPY --from=build /package /package
RUN npm install --global --no-audit --no-fund /package/*.tgz \
  && rm -r /package /root/.npm \
  && mkdir /work /huggingface \
  && chown node:node /work /huggingface
USER node
ENV HF_HOME=/huggingface
VOLUME /huggingface
WORKDIR /work
ENTRYPOINT ["vicuna-apply-delta"]
