import ShellSession

/// What is typed to collect metrics and to ask for them.
package enum MetricsCollectorCommands {
    package static var all: [Command] { [metricsCollector, instrumentedApp, alertReceiver, metrics] }
}
