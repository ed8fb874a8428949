import KernelHosting

/// What the documented API takes and answers, as OpenAPI 3.0 describes it: served at `/openapi.json`, for programs that
/// make clients of it or try it.
enum ShortenerDocument {
    static func mount(on router: HTTPRouter) {
        router.on("GET", "/openapi.json") { exchange in exchange.answer(text: text, type: "application/json") }
    }

    static let text = """
        {"openapi": "3.0.3", "info": {"title": "URL shortener", "version": "1"}, "paths": {
        \(paths)
        }, "components": {"schemas": {
        \(schemas)
        }, "parameters": {"code": {"name": "code", "in": "path", "required": true,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}}},
        "responses": {"problem": {"description": "what is wrong, and what helps", "content": {
        "application/problem+json": {"schema": {"$ref": "#/components/schemas/problem"}}}}},
        "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"}}}}

        """

    private static func answer(_ status: Int, _ schema: String) -> String {
        "\"\(status)\": {\"description\": \"done\", \"content\": {\"application/json\": {\"schema\": \(schema)}}}"
    }

    private static func reference(_ name: String) -> String { "{\"$ref\": \"#/components/schemas/\(name)\"}" }

    private static func body(_ name: String, _ type: String) -> String {
        "\"requestBody\": {\"required\": true, \"content\": {\"\(type)\": {\"schema\": \(reference(name))}}}"
    }

    private static let problem = "\"default\": {\"$ref\": \"#/components/responses/problem\"}"
    private static let code = "\"parameters\": [{\"$ref\": \"#/components/parameters/code\"}]"
    private static let secured = "\"security\": [{}, {\"key\": []}]"

    private static func operation(
        _ method: String, _ summary: String, body: String? = nil, type: String = "application/json",
        parameters: String? = nil, _ answers: String...
    ) -> String {
        let parts =
            ["\"summary\": \"\(summary)\"", secured] + (body.map { [Self.body($0, type)] } ?? [])
            + (parameters.map { ["\"parameters\": [\($0)]"] } ?? [])
            + ["\"responses\": {\((answers + [problem]).joined(separator: ", "))}"]
        return "\"\(method)\": {\(parts.joined(separator: ", "))}"
    }

    private static func query(_ name: String, _ schema: String) -> String {
        "{\"name\": \"\(name)\", \"in\": \"query\", \"schema\": \(schema)}"
    }

    private static let paths = [
        "\"/api/shorten\": {"
            + operation(
                "post", "makes a link", body: "draft", answer(201, reference("made")), answer(200, reference("made")))
            + "}",
        "\"/api/stats/{code}\": {\(code), "
            + operation(
                "get", "what has become of it",
                parameters: "{\"name\": \"details\", \"in\": \"query\", \"schema\": {\"type\": \"boolean\"}}",
                answer(200, reference("stats")))
            + "}",
        "\"/api/links\": {"
            + operation(
                "get", "the links there are",
                parameters: [
                    query("limit", "{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 1000}"),
                    query("after", "{\"type\": \"string\"}"), query("tag", "{\"type\": \"string\"}"),
                ].joined(separator: ", "), answer(200, reference("links")))
            + "}",
        "\"/api/links/{code}\": {\(code), " + operation("get", "a link", answer(200, reference("link"))) + ", "
            + operation("patch", "changes it", body: "change", answer(200, reference("link"))) + ", "
            + operation("delete", "ends it", answer(200, reference("link"))) + "}",
        "\"/api/links/{code}/history\": {\(code), "
            + operation(
                "get", "what was changed", answer(200, "{\"type\": \"array\", \"items\": {\"type\": \"object\"}}"))
            + "}",
        "\"/api/audit\": {" + operation("get", "whether a click is missing", answer(200, "{\"type\": \"object\"}"))
            + ", "
            + operation(
                "post", "which of these clicks, by their X-Click-Id, are in the books", body: "ids", type: "text/plain",
                answer(200, reference("seen")))
            + "}",
    ].joined(separator: ",\n")

    private static let time = #"{"type": "string", "format": "date-time", "nullable": true}"#
    private static let address = #"{"type": "string", "maxLength": 8000}"#

    /// What may be said of a link, when it is made and later.
    private static let properties = """
        "url": \(address), "valid_since": \(time), "expires_at": \(time),
        "max_visits": {"type": "integer", "minimum": 1, "maximum": 1000000000000, "nullable": true},
        "redirect": {"type": "integer", "enum": [301, 302, 307, 308]},
        "title": {"type": "string", "maxLength": 512, "nullable": true},
        "tags": {"type": "array", "maxItems": 32, "items": {"type": "string", "pattern": "^[a-z]{1,64}$"}},
        "forward_query": {"type": "boolean"}
        """

    private static let schemas = """
        "draft": {"type": "object", "required": ["url"], "additionalProperties": false, "properties": {
        \(properties), "alias": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
        "expires_in": {"type": "integer", "minimum": 1, "maximum": 3162240000},
        "find_existing": {"type": "boolean"}}},
        "change": {"type": "object", "additionalProperties": false, "properties": {\(properties)}},
        "made": {"type": "object", "required": ["short_url", "original_url", "expires_at"], "properties": {
        "short_url": \(address), "original_url": \(address), "expires_at": \(time)}},
        "link": {"type": "object", "required": ["code", "short_url", "original_url", "version", "clicks"],
        "properties": {"code": {"type": "string"}, "short_url": \(address), "original_url": \(address),
        "created_at": \(time), "expires_at": \(time), "valid_since": \(time), "deleted_at": \(time),
        "redirect": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string"}},
        "version": {"type": "integer", "minimum": 1}, "clicks": {"type": "integer", "minimum": 0}}},
        "links": {"type": "object", "required": ["links", "after"], "properties": {
        "links": {"type": "array", "items": {"$ref": "#/components/schemas/link"}},
        "after": {"type": "string", "nullable": true}}},
        "stats": {"type": "object", "required": ["clicks", "created_at", "top_referrers", "clicks_by_day"],
        "properties": {"clicks": {"type": "integer", "minimum": 0}, "created_at": \(time),
        "top_referrers": {"type": "array", "maxItems": 10, "items": {"type": "string"}},
        "clicks_by_day": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}}}},
        "ids": {"type": "string", "maxLength": 1000},
        "seen": {"type": "object", "required": ["seen", "in_books", "missing", "waiting", "unknown"],
        "properties": {"seen": {"type": "integer"}, "in_books": {"type": "integer"}, "missing": {"type": "integer"},
        "waiting": {"type": "integer"}, "unknown": {"type": "integer"},
        "missing_clicks": {"type": "array", "items": {"type": "object"}},
        "unknown_ids": {"type": "array", "items": {"type": "string"}}}},
        "problem": {"type": "object", "required": ["title", "status", "detail"], "properties": {
        "title": {"type": "string"}, "status": {"type": "integer"}, "detail": {"type": "string"},
        "remedy": {"type": "string"}}}
        """
}
