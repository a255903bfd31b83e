# Makes the pictures of the documentation, from the root of the repository (about three minutes):
#
#     sh docs/images/make.sh
set -e

marketsim run contagion --seed 1 --out runs/pooled --force --quiet
marketsim run contagion-isolated --seed 1 --out runs/isolated --force --quiet
marketsim run mark-spiral --seed 1 --out runs/spiral --force --quiet
marketsim run mark-spiral --seed 1 --set venue.mark.rule=index --out runs/spiral-marked-at-index --force --quiet
marketsim run funding-spike --seed 1 --days 5 --out runs/spike --force --quiet
marketsim run mark-spiral --seed 2 --days 2 --out runs/spiral-2 --force --quiet
marketsim run mark-spiral --seed 3 --days 2 --out runs/spiral-3 --force --quiet
marketsim run mark-spiral --seed 4 --days 2 --out runs/spiral-4 --force --quiet
marketsim run mark-spiral --seed 5 --days 2 --out runs/spiral-5 --force --quiet

marketsim plot runs/pooled runs/isolated cascade -o docs/images/cascade.png
marketsim plot runs/spiral prices -o docs/images/prices.png
marketsim plot runs/spike funding -o docs/images/funding.png
marketsim plot runs/spike funding-heatmap -o docs/images/funding-heatmap.png
marketsim plot runs/pooled liquidation-heatmap --dark -o docs/images/liquidation-heatmap.png
marketsim plot runs/spiral interest -o docs/images/interest.png
marketsim plot runs/pooled network --dark -o docs/images/network.png
marketsim plot runs/spiral contagion -o docs/images/contagion.png
marketsim plot runs/pooled payers -o docs/images/payers.png
marketsim plot runs/spiral profit -o docs/images/profit.png
marketsim plot runs/pooled account --account 580 -o docs/images/account.png
marketsim plot runs/spiral depth --market ETH -o docs/images/depth.png
marketsim plot runs/spiral runs/spiral-2 runs/spiral-3 runs/spiral-4 runs/spiral-5 events --series premium -o docs/images/events.png
marketsim plot runs/spiral runs/spiral-marked-at-index ghost -o docs/images/ghost.png
