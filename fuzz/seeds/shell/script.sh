while [ "$X" -lt $((1 + 2)) ]; do echo "$X ${Y:-z} $(hostname)" | cat > /tmp/f 2>&1; done && if true; then exit 3; else :; fi || for a in b c; do echo $a & done
