package stats

import (
	"bytes"
	"os"
	"runtime"
	"strings"
)

// Machine describes this machine as far as its kernel reports it.
func Machine() *Provenance {
	return &Provenance{
		OS:       runtime.GOOS + "/" + runtime.GOARCH,
		Kernel:   line("/proc/sys/kernel/osrelease"),
		CPU:      cpuModel(),
		CPUs:     runtime.NumCPU(),
		Governor: line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
	}
}

func line(file string) string {
	text, _ := os.ReadFile(file)
	return strings.TrimSpace(string(text))
}

// cpuModel returns the first processor's name. ARM kernels report only numbers.
func cpuModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	var arm []string
	for l := range bytes.Lines(text) {
		name, value, _ := strings.Cut(string(l), ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		switch name {
		case "model name", "cpu model", "Processor":
			return value
		case "CPU implementer", "CPU part":
			if len(arm) < 2 {
				arm = append(arm, name+" "+value)
			}
		}
	}
	return strings.Join(arm, ", ")
}
