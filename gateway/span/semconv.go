package span

import "go.opentelemetry.io/otel/attribute"

// The names of the OpenTelemetry conventions for generative AI, as of semantic
// conventions 1.41: later versions of Go's package no longer have them.
const (
	genAIOperationName     = attribute.Key("gen_ai.operation.name")
	genAIProviderName      = attribute.Key("gen_ai.provider.name")
	genAIRequestModel      = attribute.Key("gen_ai.request.model")
	genAIResponseModel     = attribute.Key("gen_ai.response.model")
	genAIResponseID        = attribute.Key("gen_ai.response.id")
	genAIFinishReasons     = attribute.Key("gen_ai.response.finish_reasons")
	genAIInputTokens       = attribute.Key("gen_ai.usage.input_tokens") // cached ones included
	genAIOutputTokens      = attribute.Key("gen_ai.usage.output_tokens")
	genAICacheReadTokens   = attribute.Key("gen_ai.usage.cache_read.input_tokens")
	genAICacheCreateTokens = attribute.Key("gen_ai.usage.cache_creation.input_tokens")
	httpStatusCode         = attribute.Key("http.response.status_code")
	errorType              = attribute.Key("error.type")
	serverAddress          = attribute.Key("server.address")
	serviceName            = attribute.Key("service.name")
	serviceVersion         = attribute.Key("service.version")
	serviceInstance        = attribute.Key("service.instance.id")

	// Ours.
	tollbookRequest         = attribute.Key("tollbook.request_id")
	tollbookUpstreamRequest = attribute.Key("tollbook.upstream_request_id")
	tollbookState           = attribute.Key("tollbook.state")

	operationChat     = "chat"
	providerAnthropic = "anthropic"
	firstByteEvent    = "first_byte"
)
