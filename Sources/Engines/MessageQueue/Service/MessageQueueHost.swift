import KernelAMQP
