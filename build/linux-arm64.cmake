# The toolchain file of CMake with which scripts/build compiles for Linux on arm64 from another processor. CC and CXX name
# the compilers: see scripts/cross-arm64. The C tests run under QEMU's user mode, if it is installed.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
find_program(QEMU NAMES qemu-aarch64 qemu-aarch64-static)
if(QEMU)
	set(CMAKE_CROSSCOMPILING_EMULATOR ${QEMU} -L /usr/aarch64-linux-gnu)
endif()
