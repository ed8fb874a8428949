import FeatureFlagsEngine
import KernelStructures
import TestSupport
import Testing

/// The README's example of the library, compiled and run. What stands between the marks is what the README shows.
@Suite("The library as another package uses it")
struct UsageTests {
    /// A server of one flag that is on, and one with variants.
    private struct Transport: FlagTransport {
        func send(_ request: FlagRequest) async throws -> FlagResponse {
            let flags = FlagDefinitions([
                FlagDefinition(
                    "new-checkout-flow", isEnabled: true, strategies: [.rollout(percent: 100, group: "x")]),
                FlagDefinition("button-color", isEnabled: true, variants: [.init("blue", weight: 1)]),
            ])
            return FlagResponse(status: 200, body: flags.json.bytes())
        }
    }

    // @covers FLAG-B1 FLAG-M1
    @Test("the example does what it says")
    func example() async throws {
        let transport = Transport()
        let cart = "cart"
        func newCheckout(_ cart: String) -> String { "new \(cart)" }
        func oldCheckout(_ cart: String) -> String { "old \(cart)" }
        func button(_ color: String) -> String { color }

        // README begins
        let flags = FeatureFlagClient(
            "api-key",
            .init(baseURL: "http://flags.internal", refreshInterval: .seconds(30)),
            backup: .file("/tmp/flags.json"))  // the last good definitions, for the next start
        async let _ = flags.run(transport)  // looks every 30 s until it is cancelled

        func checkout(_ user: FlagContext) -> String {
            if flags.isEnabled("new-checkout-flow", user) {  // decided here: no question leaves the process
                return newCheckout(cart)
            }
            return oldCheckout(cart)
        }

        func color(_ user: FlagContext) -> String {
            switch flags.variant("button-color", user).name {
            case "red": return button("red")
            case "blue": return button("blue")
            default: return button("grey")
            }
        }

        let user = FlagContext("123", ["country": "US"])
        // README ends

        for _ in 0..<2_000 where flags.freshAt == nil { try await Task.sleep(for: .milliseconds(5)) }
        #expect(checkout(user) == "new cart" && color(user) == "blue")
    }
}
