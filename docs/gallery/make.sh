# Makes the pictures of the gallery, from the root of the repository: a run of every shipped scenario,
# and what to look at in it (about three minutes):
#
#     sh docs/gallery/make.sh
set -e

marketsim run quickstart --seed 1 --days 3 --out runs/gallery/quickstart --force --quiet
marketsim plot runs/gallery/quickstart prices --quiet -o docs/gallery/quickstart.png
marketsim run ordinary --seed 1 --days 5 --out runs/gallery/ordinary --force --quiet
marketsim plot runs/gallery/ordinary funding --quiet -o docs/gallery/ordinary.png
marketsim run calm --seed 1 --days 5 --out runs/gallery/calm --force --quiet
marketsim plot runs/gallery/calm funding --quiet -o docs/gallery/calm.png
marketsim run alts --seed 1 --days 5 --out runs/gallery/alts --force --quiet
marketsim plot runs/gallery/alts funding --quiet -o docs/gallery/alts.png
marketsim run herding --seed 1 --days 10 --out runs/gallery/herding --force --quiet
marketsim plot runs/gallery/herding interest --market BTC --quiet -o docs/gallery/herding.png
marketsim run funding-spike --seed 1 --days 12 --out runs/gallery/funding-spike --force --quiet
marketsim plot runs/gallery/funding-spike funding-heatmap --quiet -o docs/gallery/funding-spike.png
marketsim run funding-cycle --seed 1 --days 5 --out runs/gallery/funding-cycle --force --quiet
marketsim plot runs/gallery/funding-cycle funding-heatmap --quiet -o docs/gallery/funding-cycle.png
marketsim run boom --seed 1003 --days 12 --out runs/gallery/boom --force --quiet
marketsim plot runs/gallery/boom prices --quiet -o docs/gallery/boom.png
marketsim run contagion --seed 1 --out runs/gallery/contagion --force --quiet
marketsim plot runs/gallery/contagion cascade --quiet -o docs/gallery/contagion.png
marketsim run contagion-isolated --seed 1 --out runs/gallery/contagion-isolated --force --quiet
marketsim plot runs/gallery/contagion-isolated cascade --quiet -o docs/gallery/contagion-isolated.png
marketsim run carry-unwind --seed 1 --days 9 --out runs/gallery/carry-unwind --force --quiet
marketsim plot runs/gallery/carry-unwind profit --quiet -o docs/gallery/carry-unwind.png
marketsim run flash-crash --seed 1 --out runs/gallery/flash-crash --force --quiet
marketsim plot runs/gallery/flash-crash prices --market BTC --quiet -o docs/gallery/flash-crash.png
marketsim run correlated-downturn --seed 1 --out runs/gallery/correlated-downturn --force --quiet
marketsim plot runs/gallery/correlated-downturn prices --quiet -o docs/gallery/correlated-downturn.png
marketsim run october-10 --seed 1 --out runs/gallery/october-10 --force --quiet
marketsim plot runs/gallery/october-10 payers --quiet -o docs/gallery/october-10.png
marketsim run depeg --seed 1 --out runs/gallery/depeg --force --quiet
marketsim plot runs/gallery/depeg prices --market BTC --quiet -o docs/gallery/depeg.png
marketsim run mark-spiral --seed 1 --out runs/gallery/mark-spiral --force --quiet
marketsim plot runs/gallery/mark-spiral contagion --quiet -o docs/gallery/mark-spiral.png
marketsim run history --seed 1 --out runs/gallery/history --force --quiet
marketsim plot runs/gallery/history prices --market XRP --quiet -o docs/gallery/history.png
marketsim sweep docs/gallery/spill.toml --out runs/gallery/spill --quiet
marketsim analyze runs/gallery/spill --metric 'markets.*.liquidated_usd' --quiet
cp runs/gallery/spill/analysis/markets.GOLD.liquidated_usd.png docs/gallery/spill.png
