# The container of bench/logs.py: does what the files ask-1, ask-2, … in its folder say.
echo ready
n=1
while :; do
    until [ -e "ask-$n" ]; do sleep 0.02; done
    read -r what count <"ask-$n"
    case $what in
        write) seq -f '%099.0f' 1 "$count" ;;
        tell)
            for _ in $(seq "$count"); do
                echo "at $EPOCHREALTIME"
                sleep "0.$((RANDOM % 300 + 100))"
            done
            ;;
        end) exit 0 ;;
    esac
    echo "did $n"
    n=$((n + 1))
done
