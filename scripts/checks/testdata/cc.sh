#!/bin/sh
# The C compiler of the checks: cc, which compiles each source of s2n-tls once. If the preprocessed text and the
# flags are those of a kept object, the object is copied. Everything else, such as CMake's probes, is compiled.
set -e
case " $* " in
*' -o CMakeFiles/s2n.dir/'*) ;;
*) exec cc "$@" ;;
esac
out='' flags='' left=$#
while [ "$left" -gt 0 ]; do
	case $1 in
	-o)
		out=$2
		shift 2
		left=$((left - 2))
		continue
		;;
	-[OfgmsW]*) flags="$flags $1" ;;
	esac
	set -- "$@" "$1"
	shift
	left=$((left - 1))
done
set -- "$@" "-ffile-prefix-map=${PWD%/*}=." # error messages name the file
text=$out.i
cc "$@" -E -P -o "$text"
key=$({ echo "$flags" && cat "$text"; } | sha256sum)
kept=$KEPT_OBJECTS/${key%% *}.o
exec 9>"$kept.lock"
flock 9
if [ ! -e "$kept" ]; then
	cc "$@" -o "$kept.$$"
	mv "$kept.$$" "$kept"
fi
rm "$text"
cp "$kept" "$out"
