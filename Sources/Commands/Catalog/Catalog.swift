import BackendCommands
import CacheCommands
import CacheLayerCommands
import ChaosCommands
import CircuitBreakerCommands
import CommandServices
import ConnectionPoolCommands
import CurlCommands
import DatabaseCommands
import FeatureFlagsCommands
import GatewayCommands
import GeneralCommands
import HashRingCommands
import JWTCommands
import KVStoreCommands
import LoadBalancerCommands
import LockCommands
import LogQLCommands
import LogStoreCommands
import MessageQueueCommands
import MetricsCollectorCommands
import PoolerCommands
import RateLimiterCommands
import RegistryCommands
import SQLCommands
import ShellSession
import ShopAccountsCommands
import ShopCommands
import ShortenerCommands
import TracingCommands

/// The lab's commands. `help`, completion, did-you-mean and the checks of what was typed all come from this table.
///
/// Each room of commands contributes its own; `help` lists them by group, and within a group in this order.
public enum Catalog {
    public static var table: CommandTable {
        CommandTable(
            CurlCommands.all + ChaosCommands.all + GeneralCommands.all + components + GeneralCommands.views)
    }

    private static var components: [Command] {
        BackendCommands.all + LoadBalancerCommands.all + ServiceCommands.all + RateLimiterCommands.all
            + CacheCommands.all + KVStoreCommands.all + CircuitBreakerCommands.all + HashRingCommands.all
            + ConnectionPoolCommands.all + MessageQueueCommands.all + DatabaseCommands.all + LockCommands.all
            + RegistryCommands.all
            + PoolerCommands.all + SQLCommands.all
            + CacheLayerCommands.all + MetricsCollectorCommands.all + ShortenerCommands.all + FeatureFlagsCommands.all
            + JWTCommands.all + GatewayCommands.all + TracingCommands.all + LogStoreCommands.all + LogQLCommands.all
            + ShopCommands.all + ShopAccountsCommands.all
        // new-room: commands
    }
}
