/** Room names that are easy to say: what is proposed to who has none in mind. */

const WORDS = {
  en: [
    "calm, brave, happy, gentle, quick, sunny, cosy, merry, bright, quiet, clever, lucky, proud, silly, warm, wild",
    "amber, blue, coral, golden, green, olive, orange, pink, purple, red, silver, teal, violet, white, yellow, ruby",
    "badger, bear, beaver, crane, deer, dolphin, eagle, fox, hare, heron, koala, lion, lynx, moose, otter, owl, panda, parrot, pony, puffin, rabbit, robin, seal, swan, tiger, turtle, walrus, whale, wolf, wombat, yak, zebra",
  ],
  ko: [
    "차분한, 용감한, 행복한, 다정한, 재빠른, 햇살 같은, 포근한, 즐거운, 반짝이는, 조용한, 똑똑한, 운 좋은, 씩씩한, 엉뚱한, 따뜻한, 느긋한",
    "노란, 파란, 하얀, 빨간, 까만, 초록, 분홍, 보라, 은빛, 금빛, 하늘빛, 주황, 연두, 남색, 갈색, 회색",
    "오소리, 곰, 비버, 두루미, 사슴, 돌고래, 독수리, 여우, 토끼, 왜가리, 코알라, 사자, 살쾡이, 고라니, 수달, 부엉이, 판다, 앵무새, 조랑말, 펭귄, 다람쥐, 울새, 물개, 백조, 호랑이, 거북이, 바다코끼리, 고래, 늑대, 너구리, 야크, 얼룩말",
  ],
};

/** @param {string} language @returns {string} one of 8,192 */
export function suggestName(language) {
  const lists = WORDS[language === "ko" ? "ko" : "en"].map((words) => words.split(", "));
  // Each length is a power of two, so that every word is as likely as any other.
  const dice = crypto.getRandomValues(new Uint32Array(lists.length));
  return lists.map((words, i) => words[dice[i] % words.length]).join(" ");
}
