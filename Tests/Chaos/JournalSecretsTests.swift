import KernelJSON
import Testing

@testable import ChaosEngine

@Suite("What a journal does not tell")
struct JournalSecretsTests {
    @Test("credentials in headers and in commands are hidden, whoever wrote them how, and nothing else is")
    func hidden() throws {
        let document = try JSONValue(
            parsing: #"""
                {"provider": {"type": "http", "url": "http://api/", "headers": {
                "Authorization": "Bearer eyJhbGciOi.x.y", "cookie": "session=1", "X-API-Key": "k1", "Accept": "a Bearer"}},
                "list": [{"arguments": ["-c", "curl -H 'authorization: Bearer abc.def' -H \"Authorization: Basic Z3Vlc3Q=\" x"]}],
                "proxy-authorization": "${secret}", "command": "curl -H 'Authorization: Bearer $TOKEN' x", "count": 3}
                """#)
        let shown = JournalSecrets.hidden(document)
        let headers = shown["provider"]?["headers"]
        #expect(headers?["Authorization"] == "Bearer (hidden)" && headers?["cookie"] == "(hidden)")
        #expect(headers?["X-API-Key"] == "(hidden)" && headers?["Accept"] == "a Bearer")
        #expect(
            shown["list"]?[0]?["arguments"]?[1]
                == "curl -H 'authorization: Bearer (hidden)' -H \"Authorization: Basic (hidden)\" x")
        #expect(shown["proxy-authorization"] == "${secret}" && shown["count"] == 3)
        #expect(shown["command"] == "curl -H 'Authorization: Bearer $TOKEN' x")
    }
}
