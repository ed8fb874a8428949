import Commands
import KernelStructures
import Testing

/// The shop, as somebody at the prompt looks at it while something of it is down.
@Suite struct ShopViewTests {
    /// With one order that was paid and confirmed.
    private func shop() -> LabShell {
        let shell = LabShell()
        shell.run("docker-compose up; sleep 2")
        shell.run(Self.checkout + "; sleep 2")
        return shell
    }

    private static let checkout =
        "curl -s -H 'X-User-Id: u1' -H 'X-User-Email: a@example.com' http://orders:8084/checkout "
        + "-d '{\"items\": [{\"product_id\": \"p1\"}], \"payment_method\": \"card_xxx\"}'"

    @Test func whoDoesNotAnswerIsNamedAndTheRestIsShown() {
        let shell = shop()
        #expect(shell.run("explain order o1").output.contains("charged   $999\n"))
        #expect(shell.output("ledger").hasSuffix("The books are in order.\n"))
        shell.run("inject fail http 503 on payments")
        let order = shell.run("explain order o1")
        #expect(order.status == 1)
        #expect(order.output.contains("status    confirmed\n") && order.output.contains("1x p1 sold"))
        #expect(order.output.contains("charged   unknown\n") && order.output.contains("email sent"))
        #expect(order.output.hasSuffix("\n? payments:8085: 503 Service Unavailable (injected)\n"), "\(order.output)")
        let books = shell.run("ledger")
        #expect(books.status == 1 && books.output.contains("confirmed         1\n"), "\(books.output)")
        #expect(books.output.contains("charged           unknown\n") && books.output.contains("p1 "))
        #expect(books.output.contains("What is known contradicts nothing.\n\n? payments:8085: 503"))
        #expect(
            shell.output("ledger --json | jq -c '[.confirmed, .charged_minor, (.silent | length)]'") == "[1,null,1]\n")
        #expect(CommandTests.isJSON(shell.output("explain order o1 --json")))
        // Of what has to be judged at every moment half is nothing.
        let live = shell.run("ledger check --live")
        #expect(live.status == 69 && live.errorOutput.hasPrefix("ledger: payments:8085: 503"))
        shell.run("calm; inject fail http 503 on inventory")
        let pieces = shell.run("explain order o1")
        #expect(pieces.output.contains("pieces    unknown\n") && pieces.output.contains("charged   $999\n"))
        #expect(shell.output("ledger").contains("stock: unknown\n"))
    }

    /// A breaker that runs is shown, with its reason, and nothing is said to be sent that is not.
    @Test func anOpenCircuitIsShownWithItsReason() {
        let shell = shop()
        #expect(shell.output("breaker").contains("orders->payments"))
        shell.run("inject fail http 503 on payments; \(Self.checkout)", limit: .seconds(60))
        shell.run("sleep 1")
        let table = shell.output(
            "breaker --json | jq -c '.[] | select(.breaker == \"orders->payments\") | [.state, .strip]'")
        #expect(table.hasPrefix("[\"OPEN\",\"CCC"), "\(table)")
        let why = shell.output("breaker payments why")
        #expect(why.hasPrefix("orders->payments is OPEN and has been for"), "\(why)")
        #expect(why.contains("failed"))
        #expect(shell.output("breaker orders->payments settings").contains("failureThreshold"))
        // The order of whoever buys now waits, and why is said with its number; nothing is said to be sent that is not.
        _ = shell.takeHeard()
        let outcome = shell.run(Self.checkout)
        #expect(outcome.output.contains("\"payment_status\": \"pending\""), "\(outcome.output)")
        #expect(outcome.logs.contains { $0.hasPrefix("[ORDERS] Order o3 waits: the circuit to payments is open for") })
        #expect(!outcome.logs.contains("[ORDERS] → Processing payment..."))
        #expect(shell.run("breaker payments close").status == 0)
        #expect(shell.output("breaker payments").contains("CLOSED"))
        shell.run("calm; sleep 30")
        #expect(shell.output("ledger").hasSuffix("The books are in order.\n"))
    }

    /// What the lab asks itself is nobody's request; an order's trace is found by the order.
    @Test func anOrdersTraceIsFoundByItAndLooksMakeNone() throws {
        let shell = shop()
        let id = shell.output("explain order o1 --json | jq -r '.[0].trace_id'")
        #expect(id.count == 33, "\(id)")
        #expect(shell.output("explain order o1").contains("trace     \(id.prefix(8))\n"))
        shell.run("ledger; log-collector --lab & sleep 2; log-query payment; mq-cli queues")
        #expect(shell.output("trace last").contains("orders POST /checkout"))
        #expect(shell.output("trace o1") == shell.output("trace last"))
        #expect(!shell.output("trace").contains("/ledger") && !shell.output("trace").contains("loki"))
        #expect(shell.run("trace o99").status == 1)
    }

    /// A saga that still runs is there, and what was done for it hangs on it.
    @Test func aTraceOfWhatGoesOnIsConnected() {
        let shell = shop()
        shell.run("inject fail http 503 on payments; \(Self.checkout); sleep 3")
        let trace = shell.output("trace o2")
        #expect(trace.contains("under way, until now") && !trace.contains("that nothing connects"), "\(trace)")
        #expect(shell.output("trace o2 --json | jq '[.connected, (.spans | map(.under_way) | any)] | all'") == "true\n")
        shell.run("calm; sleep 60")
        #expect(!shell.output("trace o2").contains("under way"))
    }

    @Test func troubleHasALevelThatASearchFinds() {
        let shell = shop()
        shell.run("log-collector --lab & sleep 1")
        shell.run(Self.checkout.replacing("card_xxx", with: "card_declined") + "; kill -9 payments; sleep 2")
        let declined = shell.output("log-query 'level:warning AND service:payments'")
        #expect(declined.contains("Payment failed"), "\(declined)")
        #expect(shell.output("log-query 'level:warn AND service:payments'") == declined)
        #expect(shell.output("log-query 'level:error AND service:payments'").contains("payments: killed"))
    }

    @Test func anEmptyCollectorSaysWhyItHasNothing() {
        let shell = LabShell()
        shell.run("log-collector & sleep 1")
        #expect(shell.run("log-query payment").errorOutput.contains("log-collector --lab takes those of all nodes"))
    }

    /// A load of checkouts: method, body and fields, numbered.
    @Test func theCheckoutCanBeLoaded() {
        let shell = shop()
        shell.place(#"{"items": [{"product_id": "p2"}], "payment_method": "card_xxx"}"#, at: "o.json")
        let load = "load-test -u http://orders:8084 -e /checkout -H 'X-User-Id: u{}' -d @o.json --distinct 5 -n 10 -c 2"
        #expect(shell.output("\(load) --json | jq '.status_200'") == "10\n")
        shell.run("sleep 3")
        #expect(shell.output("curl -s http://orders:8084/ledger | jq '[.orders[].user_id] | unique | length'") == "5\n")
        #expect(shell.run("load-test -e /x -X 'P T'").errorOutput.hasPrefix("load-test: --method: 'P T'"))
        #expect(shell.run("load-test -e /x -H nothing").errorOutput.hasPrefix("load-test: --header: 'nothing'"))
    }
}
