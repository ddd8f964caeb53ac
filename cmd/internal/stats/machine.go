package stats

import (
	"bytes"
	"os"
	"runtime"
	"strings"
)

// Machine is what there is to say of the machine that this runs on: as much as its kernel tells.
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

// cpuModel is the first processor's name; those of ARM have but numbers.
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
