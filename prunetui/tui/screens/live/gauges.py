"""How busy the machine is; asked from a thread, once a second."""

from __future__ import annotations

from typing import Any

from prunetui.tui.views import Gauge, Gauges


class GaugesLook:
    """Processors and memory by psutil, graphics processors by NVIDIA's library where there is one.

    Both are loaded by the first call, which a thread makes: a driver may take its time to answer.
    """

    def __init__(self) -> None:
        self._psutil: Any = None
        self._nvml: Any = None
        self._handles: list[Any] = []

    def _begin(self) -> None:
        import psutil

        self._psutil = psutil
        psutil.cpu_percent(interval=0.1)  # the next one is about the time since this
        self._find_gpus()

    def _find_gpus(self) -> None:
        try:
            import pynvml

            pynvml.nvmlInit()
            self._handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
            self._nvml = pynvml
        except Exception:  # noqa: BLE001 - no library, no driver, no card: each says so in its own way
            self._handles = []

    def __call__(self) -> Gauges:
        if self._psutil is None:
            self._begin()
        memory = self._psutil.virtual_memory()
        gpus = tuple(gauge for gauge in map(self._gpu, self._handles) if gauge)
        return Gauges(round(self._psutil.cpu_percent()), round(memory.percent), int(memory.used), gpus)

    def _gpu(self, handle: Any) -> Gauge | None:
        n = self._nvml
        try:
            name = n.nvmlDeviceGetName(handle)
            memory = n.nvmlDeviceGetMemoryInfo(handle)
            return Gauge(
                name=name.decode() if isinstance(name, bytes) else str(name),
                busy=float(n.nvmlDeviceGetUtilizationRates(handle).gpu),
                used=int(memory.used),
                memory=int(memory.total),
                temperature=float(n.nvmlDeviceGetTemperature(handle, n.NVML_TEMPERATURE_GPU)),
                power=n.nvmlDeviceGetPowerUsage(handle) / 1000,
            )
        except n.NVMLError:  # a card that has gone, or that does not tell
            return None
