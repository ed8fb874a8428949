import LogQLService

extension LogCollectorHost {
    /// `/loki/api/v1/query_range` and all that goes with it.
    func mountQueryAPI() { queryAPI.mount(on: router) }
}
