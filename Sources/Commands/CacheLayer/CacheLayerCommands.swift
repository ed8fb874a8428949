import ShellSession

/// What is typed to run an application with a cache layer, and to look into it.
package enum CacheLayerCommands {
    package static var all: [Command] { [usersAPI, cacheMonitor, loadTest, cacheLayer] }
}
