// Maps of numbers in a page: their bytes, and the colours of them.
const HEAT = [[0, 0, 4], [29, 17, 71], [81, 18, 124], [131, 38, 129], [183, 55, 121], [231, 82, 99],
  [252, 137, 97], [254, 196, 136], [252, 253, 191]]  // magma

function heat(share) {
  const at = share * (HEAT.length - 1)
  const low = Math.min(HEAT.length - 2, Math.floor(at))
  return HEAT[low].map((value, i) => value + (at - low) * (HEAT[low + 1][i] - value))
}

/** The bytes that are packed into a grey PNG. */
async function unpack(source) {
  const picture = new Image()
  picture.src = source
  await picture.decode()
  const canvas = node('canvas', { width: picture.width, height: picture.height })
  const context = canvas.getContext('2d', { willReadFrequently: true })
  context.drawImage(picture, 0, 0)
  return context.getImageData(0, 0, picture.width, picture.height).data.filter((_, i) => i % 4 === 0)
}
