import KernelHosting
import KernelJSON
import LockEngine

/// The store itself: `/v3/kv/…`.
extension LockHost {
    func mountKeyValues() {
        on("/kv/range") { [unowned self] exchange, message in
            let request = try message.rangeRequest()
            if request.isSerializable { return try answerRange(exchange, request) }
            whenCurrent { [self] error in
                if let error { return exchange.answer(error) }
                do throws(StoreError) { try answerRange(exchange, request) } catch {
                    exchange.answer(GatewayError(error))
                }
            }
        }
        on("/kv/put") { [unowned self] exchange, message in
            carryOut(.put(try message.put()), exchange) { outcome, answer in
                if case .put(let previous) = outcome { answer.add("prev_kv", previous?.json) }
            }
        }
        on("/kv/deleterange") { [unowned self] exchange, message in
            carryOut(.delete(try message.delete()), exchange) { outcome, answer in
                guard case .delete(let count, let previous) = outcome else { return }
                answer.add("deleted", count)
                answer.add("prev_kvs", previous.map(\.json))
            }
        }
        on("/kv/txn") { [unowned self] exchange, message in
            let request = try message.transaction()
            try request.expectKeysOnce()
            carryOut(.transaction(request), exchange) { [unowned self] outcome, answer in
                guard case .transaction(let succeeded, let responses) = outcome else { return }
                answer.add("succeeded", succeeded)
                answer.add("responses", responses.map { $0.json(self.revisionHeader) })
            }
        }
        on("/kv/compaction") { [unowned self] exchange, message in
            carryOut(.compact(try message.int64("revision")), exchange) { _, _ in }
        }
    }

    private func answerRange(_ exchange: HTTPExchange, _ request: RangeRequest) throws(StoreError) {
        let response = try machine.store.range(request)
        answer(exchange) { response.write(to: &$0) }
    }

    /// What stands in each response of a transaction.
    private var revisionHeader: JSONValue {
        var header = GatewayAnswer()
        header.add("revision", machine.store.store.revision)
        return header.json
    }
}
